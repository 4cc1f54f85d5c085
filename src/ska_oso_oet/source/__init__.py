"""Scripts come from files and git repositories; they are found, checked and loaded here."""
