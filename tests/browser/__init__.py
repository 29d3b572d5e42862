"""The app in a real browser; its fixtures end with these tests, and the browser with them."""
