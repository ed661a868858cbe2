"""The workers of the distributed mode: the same stages, with Redis, Kafka and Postgres between them."""
