"""The forms about a connection: what a browser sends, as the body that the API takes."""

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from spatialflow.edited import left_as_seen
from sso.models import IdentityProvider
from sso.outbound import MAX_DOCUMENT_BYTES
from sso.saml_presets import PRESETS

PRESET_NAMES = [(preset.name, preset.display_name) for preset in PRESETS.values()]
ROLES = [("member", "Member: reads"), ("field_worker", "Field worker: works on geofences"), ("manager", "Manager")]
MAPPED = [
    ("email", "Email address"),
    ("name", "Full name"),
    ("first_name", "First name"),
    ("last_name", "Last name"),
]
SWITCHES = [
    ("creates_members", "People of proven domains become members by signing in, without an invitation"),
    ("signs_requests", "Our requests are signed"),
    ("requires_encryption", "Assertions have to be encrypted for our certificate"),
    ("allows_idp_initiated", "Sign-ins may begin at the provider (a tile on its page); leave it off if you can"),
]
OF_THE_WORKSPACE = ("refuses_api_keys", "While single sign-on is required, API keys do not work either")


def preset_of(text: str) -> str:
    """Return the preset that a page's address or form names, or the one for any provider."""
    return text if text in PRESETS else str(IdentityProvider.Preset.CUSTOM)


def first_fields(preset: str) -> dict[str, Any]:
    """Return what a connection that is new begins with: it signs nobody in before its owner has switched it on."""
    return {"preset": preset, "attribute_mapping": PRESETS[preset].attribute_mapping, "is_enabled": False}


def metadata_body(form: QueryDict, file: UploadedFile | None) -> dict[str, Any]:
    """Return the body that imports metadata: its address, the file that was chosen, or what was pasted.

    Raises the 422 of `file`, and of `xml` where it is not one of the three.
    """
    url, xml = form.get("url", "").strip(), form.get("xml", "").strip()
    if [bool(url), file is not None, bool(xml)].count(True) != 1:
        raise ValidationError({"xml": ["Give the address, a file or the text: one of the three."]})
    return {"url": url, "xml": _text_of(file) if file else xml}


def _text_of(file: UploadedFile) -> str:
    """Return what a file of metadata holds, without the mark that some providers put first (BOM)."""
    if (file.size or 0) > MAX_DOCUMENT_BYTES:
        raise ValidationError({"file": ["The file is larger than 1 MiB."]})
    try:
        text: str = file.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValidationError({"file": ["This is no text in UTF-8. Choose the metadata (XML) itself."]}) from None
    if not text:
        raise ValidationError({"file": ["The file is empty."]})
    return text


def of_file(refusal: ValidationError) -> ValidationError:
    """Return a refusal of metadata as one of the file that held it."""
    detail = dict(refusal.detail)
    said = detail.pop("xml", None)
    return ValidationError({**detail, "file": said} if said else detail)


def settings_of(provider: IdentityProvider) -> dict[str, Any]:
    """Return what the form of a connection's settings holds at first."""
    mapping = {f"map_{name}": provider.attribute_mapping.get(name, "") for name, _ in MAPPED}
    switches = {name: getattr(provider, name) for name, _ in SWITCHES}
    others = {name: getattr(provider, name) for name in ("preset", "default_role", "slo_url", "metadata_url")}
    return {**mapping, **switches, **others, "refuses_api_keys": provider.workspace.refuses_keys_under_sso}


def settings_now(provider: IdentityProvider) -> dict[str, Any]:
    """Return what the form is about as the API calls it: the mapping as one, and the workspace's switch where it is."""
    names = ("preset", "attribute_mapping", "default_role", "slo_url", "metadata_url", *(name for name, _ in SWITCHES))
    now = {name: getattr(provider, name) for name in names}
    is_serving = provider.state == IdentityProvider.State.SERVING
    return now | ({"refuses_api_keys": provider.workspace.refuses_keys_under_sso} if is_serving else {})


def settings_body(form: QueryDict, seen: dict[str, Any]) -> dict[str, Any]:
    """Return the body that changes of a connection's settings what is not as it was seen. So another preset brings its
    own mapping, unless that was changed in the same form.
    """
    texts = ("preset", "default_role", "slo_url", "metadata_url")
    body: dict[str, Any] = {name: form.get(name, "").strip() for name in texts}
    body |= {name: name in form for name in seen if name not in (*texts, "attribute_mapping")}
    typed = {name: form.get(f"map_{name}", "").strip() for name, _ in MAPPED}
    body["attribute_mapping"] = {name: value for name, value in typed.items() if value}
    unchanged = left_as_seen(seen, body)
    return {name: value for name, value in body.items() if name not in unchanged}


def by_field(refusal: ValidationError) -> ValidationError:
    """Return a refusal of an attribute's name as one of the field where it was typed."""
    detail = dict(refusal.detail)
    wrong = detail.pop("attribute_mapping", {})
    if isinstance(wrong, dict):
        return ValidationError({**detail, **{f"map_{name}": said for name, said in wrong.items()}})
    return ValidationError({**detail, "map_email": wrong})
