{{/* Whether a component goes through the registry of this release. (list $ component) */}}
{{- define "mlplat.throughRegistry" -}}
{{- if and (eq (index . 0).Values.store.through "registry") (ne (index . 1) "registry") }}true{{ end -}}
{{- end -}}

{{/* The store's URL, as a component knows it: the registry's, as given, or a folder of the claim (not its root, where
     lost+found may be). (list $ component) */}}
{{- define "mlplat.storeURL" -}}
{{- if include "mlplat.throughRegistry" . -}}
http://{{ include "mlplat.registry.name" (index . 0) }}:{{ (index . 0).Values.registry.service.port }}
{{- else -}}
{{- (index . 0).Values.store.url | default "file:///models/store" -}}
{{- end -}}
{{- end -}}

{{/* The name of the file, in the Secret of keys for a registry, that a component sends; empty for none. (list $ component) */}}
{{- define "mlplat.storeKey" -}}
{{- with (index . 0).Values.store.keys -}}
{{- if and .existingSecret (ne (index $ 1) "registry") -}}
{{- ternary .writer .reader (eq (index $ 1) "training") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether there is a claim. */}}
{{- define "mlplat.hasClaim" -}}
{{- if not .Values.store.url }}true{{ end -}}
{{- end -}}

{{/* Whether the pods of a component mount the claim. (list $ component) */}}
{{- define "mlplat.mountsClaim" -}}
{{- if and (include "mlplat.hasClaim" (index . 0)) (not (include "mlplat.throughRegistry" .)) }}true{{ end -}}
{{- end -}}

{{/* Environment of every container, with the component's own: (list $ component componentValues). */}}
{{- define "mlplat.env" -}}
{{- $root := index . 0 -}}
- {name: MLPLAT_STORE, value: {{ include "mlplat.storeURL" . | quote }}}
- {name: MLPLAT_CACHE, value: /tmp/cache}
{{- if ne (index . 1) "registry" }}
- {name: MLPLAT_ALLOW_PICKLE, value: {{ $root.Values.model.allowPickle | quote }}}
{{- end }}
{{- if include "mlplat.storeKey" . }}
- {name: MLPLAT_STORE_KEY_FILE, value: /etc/mlplat/store-key/key}
{{- end }}
{{- if not (include "mlplat.throughRegistry" .) }}
{{- range $name, $value := $root.Values.store.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- with (index . 2).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The name of this Job as the environment variable that is given: versions and outputs are called after it. */}}
{{- define "mlplat.jobNameEnv" -}}
- name: {{ . }}
  valueFrom: {fieldRef: {fieldPath: "metadata.labels['batch.kubernetes.io/job-name']"}}
{{- end -}}

{{/* Arguments that say which version is meant. */}}
{{- define "mlplat.which" -}}
- --model
- {{ include "mlplat.model" . | quote }}
{{- if .Values.model.alias }}
- --alias
- {{ .Values.model.alias | quote }}
{{- else }}
- --version
- {{ .Values.model.version | quote }}
{{- end }}
{{- end -}}

{{/* Sources of environment variables: the store's Secret, and the component's own. (list $ component componentValues) */}}
{{- define "mlplat.envFrom" -}}
{{- if not (include "mlplat.throughRegistry" .) }}
{{- with (index . 0).Values.store.existingSecret }}
- secretRef: {name: {{ . | quote }}}
{{- end }}
{{- end }}
{{- with (index . 2).extraEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- end -}}
