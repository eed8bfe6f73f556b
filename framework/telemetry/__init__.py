"""What is measured of clusters, nodes, hosts and the service itself, and where figures are kept."""
