"""The demo: camera, perception node and a recorder as three processes over DDS."""
