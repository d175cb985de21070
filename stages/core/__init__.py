"""What any program needs: errors and the command line, settings, whole files, scratch folders, seeds."""
