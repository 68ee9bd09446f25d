"""What `demt bench` measures: engines alone, and the node over DDS. The top layer, with cli."""
