"""What test modules share. conftest.py sees to it that they find this package."""
