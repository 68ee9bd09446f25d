"""The live page of `demt view`: a small web server without ROS, fed by ``ros/view.py``."""
