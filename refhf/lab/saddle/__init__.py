"""The saddle lab: traces methods over 2-D surfaces and shows which leave a saddle, and why."""
