"""Pictures: read, fitted and saved (`images`), and those that the project paints (`painted`)."""
