"""A model → a folder that runs elsewhere, without toolkit, with proof."""
