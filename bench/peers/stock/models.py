"""Workspaces, their keys and their geofences."""

from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import models
from rest_framework_api_key.models import AbstractAPIKey


class Argon2id(Argon2PasswordHasher):
    """The cost of the service."""

    time_cost, memory_cost, parallelism = 2, 19 * 1024, 1


class Workspace(models.Model):
    name = models.CharField(max_length=100)


class WorkspaceKey(AbstractAPIKey):
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="keys")


class Member(models.Model):
    user = models.OneToOneField("auth.User", models.CASCADE, related_name="membership")
    workspace = models.ForeignKey(Workspace, models.CASCADE)


class Geofence(models.Model):
    workspace = models.ForeignKey(Workspace, models.CASCADE)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    geometry = models.JSONField()
    geometry_type = models.CharField(max_length=20, default="Polygon")
    radius_meters = models.FloatField(null=True)
    webhook_url = models.URLField(blank=True)
    webhook_events = models.JSONField(default=list)
    metadata = models.JSONField(default=dict)
    is_active = models.BooleanField(default=True)
    group_name = models.CharField(max_length=100, blank=True)
    source = models.CharField(max_length=20, default="draw")
    address = models.CharField(max_length=300, blank=True)
    archived = models.BooleanField(default=False)
    tags = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["workspace", "-created_at"])]
