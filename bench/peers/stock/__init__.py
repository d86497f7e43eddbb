"""The stock stack: DRF, simplejwt with its blacklist, djangorestframework-api-key, DRF's throttles on Redis."""
