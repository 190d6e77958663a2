"""Share bodies, parameters, problems and forms of answers among the routes."""
