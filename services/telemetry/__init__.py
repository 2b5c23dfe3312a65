"""What a service tells its operators: JSON logs without conversation text, and Prometheus metrics."""
