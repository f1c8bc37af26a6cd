"""From records to the terminal, Markdown, HTML and CSV. Never imports runtimes or workers."""
