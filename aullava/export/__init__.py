"""A trained model as a folder that others can load and serve, and the check that it answers the same."""
