"""Managing a running daemon: the socket, its protocol and the verbs."""
