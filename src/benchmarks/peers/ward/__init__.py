"""The ward as a Django application; to be imported only once Django's settings are made."""
