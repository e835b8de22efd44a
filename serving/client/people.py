"""People: what they allow, what they take back, their originals, their keys, and the trail of who did what."""

from __future__ import annotations

from datetime import datetime

from serving.client.calls import Calls, path
from serving.wire.audit import AuditRow, AuditVerification
from serving.wire.base import Page
from serving.wire.consents import Consent, ConsentWish, ViewerConsent, ViewerConsentWish
from serving.wire.health import Health
from serving.wire.keys import Key, KeyWish, Me, NewKey
from serving.wire.originals import Access, AccessDecision, AccessWish, HoldWish, OpenedOriginal, Original
from serving.wire.status import Status
from serving.wire.withdrawals import Withdrawal, WithdrawalPreview, WithdrawalWish


class Governing(Calls):
    """Every method is an operation of the API."""

    def list_consents(
        self, *, owner: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> Page[Consent]:
        return self._get("/v1/consents", Page[Consent], owner=owner, limit=limit, cursor=cursor)

    def get_consent(self, job: str) -> Consent:
        return self._get(path("/v1/consents/{}", job), Consent)

    def set_consent(self, job: str, wish: ConsentWish) -> Consent:
        return self._send("PUT", path("/v1/consents/{}", job), Consent, wish)

    def get_viewer_consent(self, *, owner: str | None = None) -> ViewerConsent:
        return self._get("/v1/consents/viewer", ViewerConsent, owner=owner)

    def set_viewer_consent(self, wish: ViewerConsentWish) -> ViewerConsent:
        return self._send("PUT", "/v1/consents/viewer", ViewerConsent, wish)

    def request_withdrawal(self, wish: WithdrawalWish) -> Withdrawal:
        return self._send("POST", "/v1/withdrawals", Withdrawal, wish)

    def list_withdrawals(
        self, *, unfinished: bool | None = None, limit: int | None = None, cursor: str | None = None
    ) -> Page[Withdrawal]:
        return self._get("/v1/withdrawals", Page[Withdrawal], unfinished=unfinished, limit=limit, cursor=cursor)

    def preview_withdrawal(self, *, owner: str | None = None, keep_originals: bool | None = None) -> WithdrawalPreview:
        return self._get("/v1/withdrawals/preview", WithdrawalPreview, owner=owner, keep_originals=keep_originals)

    def get_withdrawal(self, withdrawal_id: int) -> Withdrawal:
        return self._get(path("/v1/withdrawals/{}", withdrawal_id), Withdrawal)

    # originals

    def list_originals(
        self,
        *,
        owner: str | None = None,
        held: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Original]:
        return self._get("/v1/originals", Page[Original], owner=owner, held=held, limit=limit, cursor=cursor)

    def get_original(self, item_id: int) -> Original:
        return self._get(path("/v1/originals/{}", item_id), Original)

    def hold_original(self, item_id: int, wish: HoldWish) -> Original:
        return self._send("PUT", path("/v1/originals/{}/hold", item_id), Original, wish)

    def release_original(self, item_id: int) -> Original:
        return self._send("DELETE", path("/v1/originals/{}/hold", item_id), Original)

    def request_access(self, wish: AccessWish) -> Access:
        return self._send("POST", "/v1/access-requests", Access, wish)

    def list_access_requests(
        self, *, waiting: bool | None = None, limit: int | None = None, cursor: str | None = None
    ) -> Page[Access]:
        return self._get("/v1/access-requests", Page[Access], waiting=waiting, limit=limit, cursor=cursor)

    def get_access_request(self, request_id: int) -> Access:
        return self._get(path("/v1/access-requests/{}", request_id), Access)

    def decide_access_request(self, request_id: int, wish: AccessDecision) -> Access:
        return self._send("POST", path("/v1/access-requests/{}/decision", request_id), Access, wish)

    def open_original(self, request_id: int) -> OpenedOriginal:
        return self._send("POST", path("/v1/access-requests/{}/open", request_id), OpenedOriginal, once=True)

    # who did what, who may

    def search_audit(
        self,
        *,
        subject: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[AuditRow]:
        """``since`` and ``until`` with their zones."""
        return self._get(
            "/v1/audit",
            Page[AuditRow],
            subject=subject,
            actor=actor,
            action=action,
            since=None if since is None else since.isoformat(),
            until=None if until is None else until.isoformat(),
            limit=limit,
            cursor=cursor,
        )

    def verify_audit(self, *, expected: str | None = None) -> AuditVerification:
        return self._get("/v1/audit/verification", AuditVerification, expected=expected)

    def get_me(self) -> Me:
        return self._get("/v1/me", Me)

    def list_keys(self, *, owner: str | None = None, limit: int | None = None, cursor: str | None = None) -> Page[Key]:
        return self._get("/v1/keys", Page[Key], owner=owner, limit=limit, cursor=cursor)

    def get_key(self, key: str) -> Key:
        return self._get(path("/v1/keys/{}", key), Key)

    def create_key(self, wish: KeyWish) -> NewKey:
        return self._send("POST", "/v1/keys", NewKey, wish, once=True)

    def revoke_key(self, key: str) -> Key:
        return self._send("DELETE", path("/v1/keys/{}", key), Key)

    def get_status(self) -> Status:
        return self._get("/v1/status", Status)

    def get_health(self) -> Health:
        return self._get("/health", Health)
