"""Which questions did the theory leave open, and what is known of each now? docs/open_questions.md tells it."""
