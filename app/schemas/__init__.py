"""What goes over the wire: the answers' names, in one place for HTTP and the command line."""
