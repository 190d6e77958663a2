"""Run experiments over data sets, time images, and write both as files."""
