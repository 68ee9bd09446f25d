# Lets an interface package build against ROS 2 wheels from PyPI.
#
# Why: the wheels' exported *__rosidl_generator_py targets name include folders of the machine
# that built them (/opt/python/...). CMake refuses to generate while an imported target names a
# folder that does not exist. The folders are not needed: the generator adds this interpreter's
# own. Used as CMAKE_PROJECT_<package>_INCLUDE, so that no package file knows about wheels.

function(_demt_drop_missing_includes)
  get_property(targets DIRECTORY "${CMAKE_SOURCE_DIR}" PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    if(NOT target MATCHES "__rosidl_generator_py$")
      continue()
    endif()
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(existing "")
    foreach(folder IN LISTS folders)
      if(folder MATCHES "^\\$<" OR EXISTS "${folder}")
        list(APPEND existing "${folder}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${existing}")
  endforeach()
endfunction()

# At the end of the top-level CMakeLists.txt, when find_package has created the targets.
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL _demt_drop_missing_includes)
