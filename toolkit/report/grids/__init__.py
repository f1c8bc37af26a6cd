"""Makes the tables of words, without a form yet: Markdown and the page both show them."""
