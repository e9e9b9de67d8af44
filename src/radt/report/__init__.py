"""One page of all results to read offline: `read` reads the small files, `made` their records, `page` writes the page."""
