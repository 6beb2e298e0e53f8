"""Ways to carry messages between a coordinator and many simulated devices."""
