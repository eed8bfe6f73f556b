"""Runs and watches one Elasticsearch node on a Mesos agent."""
