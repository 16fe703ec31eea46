{{/* How many pods: as given, or 2 with a PostgreSQL and the 1 that SQLite may have. */}}
{{- define "mlplat.registry.replicas" -}}
{{- $replicas := .Values.registry.replicas -}}
{{- if kindIs "invalid" $replicas -}}
{{- ternary 2 1 (not (empty .Values.registry.database.existingSecret)) -}}
{{- else -}}
{{- int $replicas -}}
{{- end -}}
{{- end -}}

{{/* The settings of the registry, but for what Secrets hold. */}}
{{- define "mlplat.registry.settings" -}}
{{- with .Values.registry -}}
MLPLAT_UPLOADS: /uploads
MLPLAT_REGISTRY_OPEN: {{ .open | quote }}
MLPLAT_MAX_UPLOAD_BYTES: {{ .settings.maxUploadBytes | int64 | quote }}
MLPLAT_SYNC_SECONDS: {{ .settings.syncSeconds | quote }}
MLPLAT_POOL_SIZE: {{ .settings.poolSize | quote }}
MLPLAT_DRAIN_SECONDS: {{ .settings.drainSeconds | quote }}
MLPLAT_KEEP_ALIVE_SECONDS: {{ .settings.keepAliveSeconds | quote }}
LOG_LEVEL: {{ .settings.logLevel }}
{{- end -}}
{{- end -}}

{{/* The database, and the key of an admin, as environment variables. SQLite is a file beside the store, not in it. */}}
{{- define "mlplat.registry.env" -}}
{{- with .Values.registry -}}
{{- if .database.existingSecret -}}
- name: MLPLAT_DATABASE
  valueFrom: {secretKeyRef: {name: {{ .database.existingSecret | quote }}, key: {{ .database.key | quote }}}}
{{- else -}}
- {name: MLPLAT_DATABASE, value: "sqlite:////models/registry/registry.db"}
{{- end }}
{{- if .adminKey.existingSecret }}
- name: MLPLAT_REGISTRY_ADMIN_KEY
  valueFrom: {secretKeyRef: {name: {{ .adminKey.existingSecret | quote }}, key: {{ .adminKey.key | quote }}}}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The service account: its own, or that of all pods. */}}
{{- define "mlplat.registry.serviceAccountName" -}}
{{- with .Values.registry.serviceAccount -}}
{{- if .name -}}
{{- .name -}}
{{- else if .create -}}
{{- include "mlplat.registry.name" $ -}}
{{- else -}}
{{- include "mlplat.serviceAccountName" $ -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether there are several pods, which may be on several nodes. */}}
{{- define "mlplat.registry.isSpread" -}}
{{- $several := gt (include "mlplat.registry.replicas" . | int) 1 -}}
{{- if and $several (not (include "mlplat.oneNode" (list . "registry"))) }}true{{ end -}}
{{- end -}}
