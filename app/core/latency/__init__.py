"""Hold measured times, collect them in profiles, and predict latencies from profiles."""
