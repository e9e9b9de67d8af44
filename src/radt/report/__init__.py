"""One page of all results to read offline: `read` gets the small files, `made` how they were made, `page` writes the page."""
