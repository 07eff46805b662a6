"""Tools of the project: set-up, running notebooks, building the site. Started by the Makefile."""
