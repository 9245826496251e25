"""Django's settings for a JSON API for password resets, with the validators and the hasher of `startproject`."""

import os
from pathlib import Path

SECRET_KEY = os.environ["SECRET"]
DEBUG = False
ALLOWED_HOSTS = [".amazonaws.com"]
ROOT_URLCONF = "views"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
MIDDLEWARE = []
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
    }
]
VALIDATION = "django.contrib.auth.password_validation."
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": VALIDATION + "UserAttributeSimilarityValidator"},
    {"NAME": VALIDATION + "MinimumLengthValidator"},
    {"NAME": VALIDATION + "CommonPasswordValidator"},
    {"NAME": VALIDATION + "NumericPasswordValidator"},
]
DEFAULT_FROM_EMAIL = os.environ["MAIL_FROM"]
EMAIL_BACKEND = "ses_backend.EmailBackend"
USE_I18N = False
USE_TZ = True
