"""The benchmark of the node: a camera, the node and a listener as three processes over DDS."""
