"""Creates the database, with the user Ada."""

import os

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.models import User  # noqa: E402

User.objects.create_user("ada", "ada@example.com", "the first password of Ada")
