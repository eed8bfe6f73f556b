"""StandInElasticsearch: a node of a few MiB that answers what the service asks; holds no data."""
