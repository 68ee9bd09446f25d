"""Int8: which layers of a graph can be in it, and the graph that says so by Q and DQ nodes."""
