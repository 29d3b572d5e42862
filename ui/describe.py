"""The page Describe."""

from ui.shell import chosen

chosen()
