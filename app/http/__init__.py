"""HTTP shared by the routes: bodies, parameters, problems, and forms of answers."""
