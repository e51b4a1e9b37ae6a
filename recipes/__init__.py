"""The recipes that come with graphkit: one module each, named by family and recipe."""
