"""Answers from the definitions, by other roads than the package's, and the instances to ask about."""
