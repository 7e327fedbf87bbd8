"""Takes the guards of a package out, one by one, and looks whether a check notices."""
