{{/* Name resolution. Policies are judged by the pod that a Service leads to, so any port of the DNS pods is allowed. */}}
{{- define "mlplat.egress.dns" -}}
- to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
{{- end -}}

{{/* The registry of this release, if a component goes through it. (list $ component) */}}
{{- define "mlplat.egress.registry" -}}
{{- if include "mlplat.throughRegistry" . -}}
- ports: [{port: http, protocol: TCP}]
  to:
    - podSelector:
        matchLabels:
          {{- include "mlplat.selector" (list (index . 0) "registry") | nindent 10 }}
{{- end -}}
{{- end -}}

{{/* Object stores, if one of these URLs leads there, and the addresses that their credentials come from. (list $ urls) */}}
{{- define "mlplat.egress.store" -}}
{{- $remote := false -}}
{{- range compact (index . 1) -}}
{{- if and (contains "://" .) (not (hasPrefix "file://" .)) }}{{ $remote = true }}{{ end -}}
{{- end -}}
{{- with (index . 0).Values.policies.networkPolicy -}}
{{- if $remote -}}
- ports:
    {{- range .storePorts }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .storeTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- if or $remote (eq (index $ 0).Values.store.through "direct") }}
{{- with .identityCIDRs }}
- to:
    {{- range . }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
{{- end }}
{{- end }}
{{- with .extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- end -}}
