"""The application over goa: stages, the runner, flows, publishing, the command line."""
