"""A small Django project, instrumented as the guide says; addresses come from the environment."""
