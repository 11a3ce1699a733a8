"""The numbers of README.md: those that its two tables of what changed take from the other pages."""

from page_numbers import adya_2018, arnold_wang, he_2016  # noqa: F401  the page calls them
