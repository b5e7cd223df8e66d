"""Raw data of each form -> examples, streamed, with errors that name file and line."""
