"""How a feature plan is fitted: what each column is and what is kept of it."""
